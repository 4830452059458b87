"""What a person may put into a line beside words: commands of their own, notes, files, folders, pictures."""
