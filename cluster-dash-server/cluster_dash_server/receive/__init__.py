"""HTTP posts come in here, and leave authenticated, validated and as points."""
