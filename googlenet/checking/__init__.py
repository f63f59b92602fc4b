"""A user's model beside a network of the spec: aligned, described, proved."""
