"""What keeps the nightly work going: health, alarms, reports of runs, measurements."""
