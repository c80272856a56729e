"""Coverage-guided fuzzing: targets are plain functions of bytes, so the kept corpus replays without any fuzzer."""
