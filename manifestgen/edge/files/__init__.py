"""What an image holds, on this machine: its application's files, and the program that they make."""
