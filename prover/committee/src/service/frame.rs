//! Frames: version, kind, length, message. The length is checked against the kind before a byte of the message is read.

use std::io;
use std::time::Duration;

use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::message::{MessageError, PROTOCOL_VERSION, Wire, check_size};

/// Bytes before the message.
const HEADER: usize = 6;
/// Bytes read at a time, so that memory follows what has arrived.
const PIECE: usize = 256 << 10;

/// Why a frame was not read or written.
#[derive(Debug, Error)]
pub enum FrameError {
    #[error("the connection ended")]
    Closed,
    #[error("the connection ended inside a frame")]
    Truncated,
    #[error("no frame in time")]
    Idle,
    #[error("the frame did not end in time")]
    Slow,
    #[error("protocol version {found} is not {PROTOCOL_VERSION}")]
    Version { found: u8 },
    #[error(transparent)]
    Message(#[from] MessageError),
    #[error("the connection failed: {0}")]
    Io(io::Error),
}

impl From<io::Error> for FrameError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Truncated,
            _ => Self::Io(error),
        }
    }
}

/// Reads one message of at most `most` bytes: waits `idle` for its first byte, then `whole` for the rest.
pub(crate) async fn read<M: Wire>(
    stream: &mut (impl AsyncRead + Unpin),
    most: usize,
    idle: Duration,
    whole: Duration,
) -> Result<M, FrameError> {
    let mut header = [0; HEADER];
    let first = timeout(idle, stream.read(&mut header[..1]))
        .await
        .map_err(|_| FrameError::Idle)?;
    match first {
        Ok(1..) => {}
        // Peers that vanish without a goodbye are no different from those that say it.
        Ok(0) => return Err(FrameError::Closed),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            return Err(FrameError::Closed);
        }
        Err(error) => return Err(error.into()),
    }
    timeout(whole, read_rest(stream, most, header))
        .await
        .map_err(|_| FrameError::Slow)?
}

async fn read_rest<M: Wire>(
    stream: &mut (impl AsyncRead + Unpin),
    most: usize,
    mut header: [u8; HEADER],
) -> Result<M, FrameError> {
    stream.read_exact(&mut header[1..]).await?;
    let [version, kind, length @ ..] = header;
    if version != PROTOCOL_VERSION {
        return Err(FrameError::Version { found: version });
    }
    let length = u32::from_le_bytes(length) as usize;
    check_size::<M>(kind, length)?;
    if length > most {
        let found = length;
        return Err(MessageError::Size { kind, found, most }.into());
    }
    // Contributions to keys travel in frames: erased after use.
    let mut bytes = Zeroizing::new(Vec::with_capacity(length.min(PIECE)));
    while bytes.len() < length {
        let start = bytes.len();
        bytes.resize(length.min(start + PIECE), 0);
        stream.read_exact(&mut bytes[start..]).await?;
    }
    Ok(M::decode(kind, &bytes)?)
}

/// Writes one message.
pub(crate) async fn write<M: Wire>(
    stream: &mut (impl AsyncWrite + Unpin),
    message: &M,
    whole: Duration,
) -> Result<(), FrameError> {
    let bytes = Zeroizing::new(message.encode()?);
    let mut frame = Zeroizing::new(Vec::with_capacity(HEADER + bytes.len()));
    frame.extend([PROTOCOL_VERSION, message.kind()]);
    frame.extend((bytes.len() as u32).to_le_bytes());
    frame.extend_from_slice(&bytes);
    let send = async {
        stream.write_all(&frame).await?;
        stream.flush().await
    };
    Ok(timeout(whole, send).await.map_err(|_| FrameError::Slow)??)
}
