"""What two services need: errors, settings, the partition loop, ports and their adapters."""
