"""The CloudWatch bridge: answers as heat-api-cloudwatch did, on an address of its own.

For what is baked into images; a new guest takes our agent. XML in answers only: nothing here
parses any.
"""
