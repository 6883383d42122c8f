"""What lives inside a host process: boot, binding, faults, trace.

Loaded by strangers' interpreters from 3.9 on, under whatever package name boot gave it: standard
library only, relative imports only.
"""
