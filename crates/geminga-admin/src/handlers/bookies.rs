//! Bookies, and which racks they are in.

use geminga_admin_model::{BookiesClusterInfo, RawBookieInfo};
use geminga_broker::{AdminError, Broker};

use super::Answered;
use crate::{answer::Answer, failure::Failure, request::Request, route::Route};

pub(super) async fn handle(route: Route, broker: &Broker, request: &Request) -> Answered {
    let bookie = request.part(0);
    match route {
        Route::Bookies => {
            let ids = broker.bookies().into_iter();
            let bookies = ids.map(|bookie_id| RawBookieInfo { bookie_id }).collect();
            Ok(Answer::json(&BookiesClusterInfo { bookies }))
        }
        Route::BookieRacks => Ok(Answer::json(&broker.bookie_racks().await?)),
        Route::SetBookieRack => {
            let group = request.query("group").filter(|group| !group.is_empty());
            let missing = || AdminError::Invalid("Bookie 'group' parameters is missing".to_owned());
            let group = group.ok_or_else(missing)?;
            let rack = request.json()?;
            let rack = rack.ok_or_else(|| Failure::InvalidBody("a rack is missing".to_owned()))?;
            broker.set_bookie_rack(bookie, group, &rack).await?;
            Ok(Answer::done())
        }
        Route::RemoveBookieRack => {
            broker.remove_bookie_rack(bookie).await?;
            Ok(Answer::done())
        }
        _ => {
            let racks = broker.bookie_racks().await?;
            let found = racks.into_values().find_map(|mut group| group.remove(bookie));
            let unknown = || AdminError::NotFound(format!("Bookie address not found: {bookie}"));
            Ok(Answer::json(&found.ok_or_else(unknown)?))
        }
    }
}
