"""What happens to score maps after the network: upsampling, exact accuracy, networks that share a backbone."""
