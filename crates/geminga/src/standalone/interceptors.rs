//! `brokerEntryMetadataInterceptors`: the classes of Pulsar's that note something of each entry, by name.
//! There is no code to load: what the two that Pulsar comes with do is built in.

use anyhow::bail;
use geminga_broker::BrokerMetadataOptions;

/// Notes when the broker took an entry.
const TIMESTAMP: &str =
    "org.apache.pulsar.common.intercept.AppendBrokerTimestampMetadataInterceptor";
/// Notes the index of an entry's last message.
const INDEX: &str = "org.apache.pulsar.common.intercept.AppendIndexMetadataInterceptor";

/// What a list of names stands for.
pub(super) fn parse(list: &str) -> anyhow::Result<BrokerMetadataOptions> {
    let mut options = BrokerMetadataOptions::default();
    for name in list.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        match name {
            TIMESTAMP => options.timestamp = true,
            INDEX => options.index = true,
            other => bail!(
                "brokerEntryMetadataInterceptors={list}: {other} is not known, only {TIMESTAMP} and {INDEX}"
            ),
        }
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_stands_for_what_its_class_does() {
        let parsed = |list: &str| {
            let options = parse(list).unwrap();
            (options.timestamp, options.index)
        };
        assert_eq!(parsed(""), (false, false));
        assert_eq!(parsed(" , "), (false, false));
        assert_eq!(parsed(TIMESTAMP), (true, false));
        assert_eq!(parsed(INDEX), (false, true));
        assert_eq!(parsed(&format!("{INDEX}, {TIMESTAMP},{INDEX}")), (true, true));
    }

    #[test]
    fn another_name_is_an_error_that_says_what_is_possible() {
        let error = parse(&format!("{INDEX},com.example.Mine")).unwrap_err().to_string();
        let expected = format!(
            "brokerEntryMetadataInterceptors={INDEX},com.example.Mine: com.example.Mine is not known, \
             only {TIMESTAMP} and {INDEX}"
        );
        assert_eq!(error, expected);
    }
}
