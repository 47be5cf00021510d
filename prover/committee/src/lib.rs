//! One key holder: dealer-free key generation, partial opening, combination, the mutual-TLS service.
