"""From a checkout to a deployment and back: zips, environments and their states, plan, deploy, destroy."""
