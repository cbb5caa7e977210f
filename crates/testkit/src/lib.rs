//! Real clusters, databases, authorities and clocks for tests
