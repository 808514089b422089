"""The pure heart: what a ride and a unicorn may do, and who takes which ride. No I/O, no clock."""
