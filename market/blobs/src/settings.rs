//! Settings of an S3 store.

use std::collections::BTreeMap;
use std::fmt;
use thiserror::Error;

/// How to reach S3, or a server that speaks its protocol and honours `If-None-Match` on writes.
#[derive(Clone, PartialEq, Eq)]
pub struct S3Settings {
    /// Bucket.
    pub bucket: String,
    /// Region, e.g. `eu-central-1`.
    pub region: String,
    /// Endpoint URL when it is not AWS.
    pub endpoint: Option<String>,
    /// Key id.
    pub access_key_id: String,
    /// Secret; never printed.
    pub secret_access_key: String,
    /// Allow an endpoint without TLS. For a server on the same machine only.
    pub allow_http: bool,
}

impl fmt::Debug for S3Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Settings")
            .field("bucket", &self.bucket)
            .field("region", &self.region)
            .field("endpoint", &self.endpoint)
            .field("access_key_id", &self.access_key_id)
            .field("secret_access_key", &"[redacted]")
            .field("allow_http", &self.allow_http)
            .finish()
    }
}

/// Why settings do not name a store.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SettingsError {
    /// A setting is missing.
    #[error("{0} is not set")]
    Missing(&'static str),
    /// A switch is neither `true` nor `false`.
    #[error("{name} is {found:?}; it must be true or false")]
    Switch {
        /// The setting.
        name: &'static str,
        /// What it says.
        found: String,
    },
}

impl S3Settings {
    /// The settings in these variables: `SALUS_S3_BUCKET`, `SALUS_S3_REGION`, `SALUS_S3_ENDPOINT` (optional),
    /// `SALUS_S3_ACCESS_KEY_ID`, `SALUS_S3_SECRET_ACCESS_KEY`, `SALUS_S3_ALLOW_HTTP` (optional).
    /// None when no bucket is named.
    ///
    /// # Errors
    /// A bucket is named and another setting is missing or not understood.
    pub fn from_variables(
        variables: &BTreeMap<String, String>,
    ) -> Result<Option<Self>, SettingsError> {
        let get = |name: &str| variables.get(name).filter(|v| !v.is_empty()).cloned();
        let need = |name: &'static str| get(name).ok_or(SettingsError::Missing(name));
        let Some(bucket) = get("SALUS_S3_BUCKET") else {
            return Ok(None);
        };
        const HTTP: &str = "SALUS_S3_ALLOW_HTTP";
        let allow_http = match get(HTTP).as_deref() {
            None | Some("false") => false,
            Some("true") => true,
            Some(found) => {
                return Err(SettingsError::Switch {
                    name: HTTP,
                    found: found.to_owned(),
                });
            }
        };
        Ok(Some(Self {
            bucket,
            region: need("SALUS_S3_REGION")?,
            endpoint: get("SALUS_S3_ENDPOINT"),
            access_key_id: need("SALUS_S3_ACCESS_KEY_ID")?,
            secret_access_key: need("SALUS_S3_SECRET_ACCESS_KEY")?,
            allow_http,
        }))
    }
}
