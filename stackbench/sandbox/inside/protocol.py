"""What the zygote, its samples, the judges and process 1 have to agree on."""

from struct import Struct

# A record of the zygote's: kind, pid (or errno), wait status, user and system seconds, peak KiB.
RECORD = Struct("=cqqddq")
REPORTED = 99  # the exit code of a sample's process that answered calls until the judge hung up
CHANNEL_FD = 3  # a sample's end of the channel to its judge
BEGAN = b"+"  # in front of a job's file: the sample's code has been reached
NOT_BEGUN = b"-"  # or it could not be, and why
