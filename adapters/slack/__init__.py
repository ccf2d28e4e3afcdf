"""The Slack desk: operators answer in threads of a Slack channel. Start reading at `parts.create`."""
