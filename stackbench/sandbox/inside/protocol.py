"""What the zygote, its samples and process 1 have to agree on."""

from struct import Struct

# A record of the zygote's: kind, pid (or errno), wait status, user and system seconds, peak KiB.
RECORD = Struct("=cqqddq")
REPORTED = 99  # the exit code of a sample's process that came to the end of its report
