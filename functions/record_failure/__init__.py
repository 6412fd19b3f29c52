"""Writes the failure record of an execution and makes sure that a notification is sent."""
