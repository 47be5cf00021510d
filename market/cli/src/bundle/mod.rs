//! The audit bundle: everything public that an auditor needs, in one directory.
