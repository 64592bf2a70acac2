"""What is measured of a network beside its IoU: whether similarity transfers, whether it leans on dropout."""
