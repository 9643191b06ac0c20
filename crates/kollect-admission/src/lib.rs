//! The validating admission webhook: reviews Kollect objects before the API server stores them.
#![warn(missing_docs)]
