"""Where annotation tables come from: EUFCC-340K as published, a museum's own export, and their splits."""
