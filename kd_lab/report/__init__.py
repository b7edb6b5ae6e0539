"""What is read out of result.json files: tables and, later, figures."""
