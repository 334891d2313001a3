//! Small documents that doors share under names of their own, and leases that one of them holds at a time. Never on the
//! path of a request.

use redis::Value;

use super::Store;
use super::trouble::Trouble;

/// The longest document that is read back.
const LONGEST: usize = 512 << 10;

impl Store {
    /// The document under the prefix and `name`; `None` where there is none, or something that no door wrote.
    ///
    /// # Errors
    /// Why it could not be asked.
    pub async fn document(&self, name: &str) -> Result<Option<Vec<u8>>, Trouble> {
        let name = format!("{}{name}", self.prefix());
        match self.call(redis::cmd("GET").arg(name)).await {
            Ok(Value::BulkString(bytes)) if bytes.len() <= LONGEST => Ok(Some(bytes)),
            Ok(Value::Nil) => Ok(None),
            Ok(_) | Err(Trouble::Foreign) => {
                self.metrics.damaged();
                Ok(None)
            }
            Err(trouble) => Err(trouble),
        }
    }

    /// Writes a document, for `seconds`.
    ///
    /// # Errors
    /// Why it may not have been written.
    pub async fn write_document(
        &self,
        name: &str,
        value: &str,
        seconds: u64,
    ) -> Result<(), Trouble> {
        let name = format!("{}{name}", self.prefix());
        let mut command = redis::cmd("SETEX");
        command.arg(name).arg(seconds.max(1)).arg(value);
        self.call(&command).await.map(drop)
    }

    /// The names of documents that begin with `beginning`, without the prefix; at most `most`. Goes through the whole
    /// database.
    ///
    /// # Errors
    /// Why it could not be read to the end.
    pub async fn documents(&self, beginning: &str, most: usize) -> Result<Vec<String>, Trouble> {
        let found = self.names_like(&format!("{beginning}*"), most).await?;
        let prefix = self.prefix();
        let names = found.iter().filter_map(|name| name.strip_prefix(prefix));
        Ok(names.map(str::to_owned).collect())
    }

    /// Takes the lease `name` for `millis`, or keeps it if `holder` has it already. False: another one holds it.
    ///
    /// # Errors
    /// Why it could not be asked.
    pub async fn hold(&self, name: &str, holder: &str, millis: u64) -> Result<bool, Trouble> {
        let name = format!("{}{name}", self.prefix());
        let mut take = redis::cmd("SET");
        take.arg(&name).arg(holder).arg("NX").arg("PX").arg(millis);
        if !matches!(self.call(&take).await?, Value::Nil) {
            return Ok(true);
        }
        match self.call(redis::cmd("GET").arg(&name)).await? {
            Value::BulkString(held) if held == holder.as_bytes() => {
                let mut keep = redis::cmd("SET");
                keep.arg(&name).arg(holder).arg("XX").arg("PX").arg(millis);
                self.call(&keep).await.map(|_| true)
            }
            _ => Ok(false),
        }
    }

    /// Gives a lease back that `holder` has.
    ///
    /// # Errors
    /// Why it could not be asked; it runs out by itself then.
    pub async fn release(&self, name: &str, holder: &str) -> Result<(), Trouble> {
        let name = format!("{}{name}", self.prefix());
        match self.call(redis::cmd("GET").arg(&name)).await? {
            Value::BulkString(held) if held == holder.as_bytes() => {
                self.call(redis::cmd("DEL").arg(&name)).await.map(drop)
            }
            _ => Ok(()),
        }
    }
}
