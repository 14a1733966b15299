"""devcloud's guests: real Linux process trees that stand in for virtual machines."""
