"""What other systems learn about runs: metrics for Prometheus, lineage events in the OpenLineage format."""
