"""The modules that many samples import, imported once so that a fork already has them.

Heavier ones that few import (dataclasses, decimal, hashlib) would cost every fork more than they save. Hooks of
threading and random are left out: they touch 160 memory pages per fork, have no effect in a parent with one thread, and
without them every sample starts from the same state of `random`.
"""

# pyright: reportUnusedImport=false
import os

_register_at_fork = os.register_at_fork
os.register_at_fork = lambda **hooks: None
import abc
import base64
import bisect
import cmath
import collections
import collections.abc
import copy
import datetime
import enum
import functools
import heapq
import io
import itertools
import json
import math
import operator
import pickle
import random
import re
import string
import struct
import sys
import threading
import time
import types
import typing

os.register_at_fork = _register_at_fork
