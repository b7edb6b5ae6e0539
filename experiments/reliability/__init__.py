"""What happens when the power goes, the disk fills up, two people start the same line, or a file is damaged."""
