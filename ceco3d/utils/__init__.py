"""What every part shares: files, processes, devices, random streams, errors."""
