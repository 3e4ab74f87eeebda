//! What every store must do, run against each of them.

mod anchors;
mod catalogues;
mod channels;
mod feeds;
mod lives;
mod once;
mod pages;
mod processes;
mod property;
mod queue_once;
mod queue_property;
mod queues;
#[path = "../support/redis.rs"]
mod redis;
mod resume;
mod roster_property;
mod rosters;
mod sessions;
mod world;

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use self::world::World;

type Case = fn(World) -> Pin<Box<dyn Future<Output = ()> + Send>>;

/// The contract, as a list: in memory each case is a test of its own with a clock that jumps; on servers, which cost
/// time to start, all cases are one.
macro_rules! contract {
    ($($module:ident: $($case:ident)+;)+) => {
        const CASES: &[(&str, Case)] = &[$($((stringify!($case), |world| Box::pin($module::$case(world))),)+)+];

        mod memory {
            $($(
                #[tokio::test(start_paused = true)]
                async fn $case() {
                    crate::$module::$case(crate::World::memory()).await;
                }
            )+)+
        }
    };
}

contract! {
    anchors:
        the_end_of_an_anchored_session_is_given_to_its_own_node
        who_closes_an_anchored_session_leaves_its_end_to_its_node
        the_end_of_an_anchored_session_whose_node_is_gone_is_given_once_to_another
        an_anchor_that_comes_after_the_end_of_its_session_is_none
        an_anchor_whose_session_is_nowhere_goes_without_an_end
        anchored_sessions_are_counted;
    channels:
        positions_rise_by_one_from_one
        entries_after_a_position_are_read_in_order
        a_read_is_bounded_but_gives_at_least_one_entry
        a_read_finds_its_place_in_a_long_log_of_batches
        a_batch_published_again_is_answered_but_not_appended
        what_is_past_the_retention_is_told_as_a_gap
        a_position_of_another_life_or_of_the_future_is_a_gap
        a_follower_gets_all_entries_after_the_head_it_was_told
        nothing_is_missed_between_the_head_that_was_told_and_what_is_heard
        follows_are_counted
        what_is_published_at_once_is_in_one_order_for_all;
    queues:
        messages_wait_for_a_consumer_and_go_to_one_each_in_turn
        what_a_consumer_is_given_is_heard_by_those_who_follow_its_channel
        a_consumer_holds_no_more_than_its_credit
        a_consumer_with_many_bytes_unsettled_waits_as_well
        what_is_returned_goes_first_and_to_another_and_says_how_often_it_was_given
        what_a_consumer_leaves_goes_to_others_in_the_order_it_had
        a_consumer_that_was_cancelled_does_not_come_back
        a_queue_has_so_many_consumers_and_no_more
        a_full_queue_refuses_and_drops_nothing
        a_batch_enqueued_again_is_answered_but_not_taken
        what_is_settled_and_received_is_not_kept_for_the_consumer
        positions_that_a_consumer_never_had_are_unknown
        enqueued_at_once_is_in_one_order_and_nothing_is_lost;
    queue_once:
        a_message_with_an_id_is_enqueued_once_and_answered_alike
        a_group_that_does_not_fit_is_not_taken_and_may_be_sent_again;
    catalogues:
        a_name_is_told_once_and_listed_with_where_the_news_go_on
        a_full_catalogue_says_so_once_until_there_was_room_for_a_while
        names_that_nobody_enlists_again_make_room
        an_entry_leads_to_a_subscription_as_long_as_its_own_is_there;
    feeds:
        subscriptions_to_one_channel_with_different_tags_have_a_cursor_each
        what_a_call_keeps_is_there_for_the_next_call_and_for_receivers
        what_the_last_call_keeps_is_there_at_the_sessions_end
        a_call_that_is_over_keeps_nothing
        a_tail_lies_before_the_newest_entries_that_there_are;
    once:
        a_message_with_an_id_is_appended_once_and_answered_alike
        the_same_id_with_another_content_is_told_and_not_appended
        ids_belong_to_their_channel
        a_follower_hears_once_what_is_published_twice
        an_id_is_known_for_longer_than_its_message_is_kept
        ids_are_forgotten_after_so_many_newer_ones
        ids_are_forgotten_after_their_time
        a_memory_of_nothing_keeps_nobody_from_publishing
        what_many_publish_at_once_under_the_same_ids_is_there_once;
    pages:
        pages_lead_both_ways_through_all_that_is_kept
        a_page_is_bounded_but_has_at_least_one_entry
        pages_show_each_entry_once_while_entries_arrive
        a_page_next_to_what_is_not_kept_any_more_is_told
        a_page_of_another_life_or_of_the_future_is_told
        a_channel_that_has_never_been_has_an_empty_page_and_stays_unknown
        entries_know_when_they_were_accepted;
    resume:
        a_later_attempt_takes_over_and_gets_all_that_is_not_confirmed
        what_was_handed_after_a_ping_is_not_confirmed_by_its_pong
        an_attempt_before_the_newest_is_refused
        an_equal_attempt_is_an_ordinary_receiver
        an_attempt_creates_a_session_unless_it_means_to_resume_one
        a_lost_connection_leaves_the_session_open_for_its_time
        a_session_that_its_client_quits_is_over_at_once
        a_session_that_was_closed_meanwhile_says_so_to_a_later_attempt
        a_replay_goes_on_with_the_next_receiver_and_again_for_a_repeat
        only_the_attempt_that_has_the_session_may_send
        a_place_in_a_channel_counts_once_it_is_confirmed;
    rosters:
        a_user_with_two_sessions_is_one_member_and_told_of_once
        sessions_without_a_user_are_members_of_their_own
        an_entering_that_comes_after_its_stay_is_over_leaves_no_ghost
        a_session_that_comes_back_as_another_user_leaves_as_the_first
        pages_hold_each_member_once_in_the_order_of_names
        what_comes_after_a_look_is_told_from_where_it_stood
        a_roster_of_which_nobody_is_told_tells_nothing
        a_users_name_has_a_length
        open_sessions_are_found_by_bucket_and_looked_up;
    sessions:
        the_first_attach_creates_and_the_second_is_told_who_holds
        without_room_nothing_is_created_but_known_sessions_are_held
        a_released_session_goes_on_at_another_node_with_what_waits
        a_session_that_only_gets_its_open_frame_is_free_at_once
        a_repeated_request_gets_the_same_again_and_another_one_what_follows
        a_repeat_of_an_answered_request_is_told_what_the_answer_had_and_no_more
        a_request_before_the_last_one_comes_too_late
        an_on_open_whose_node_is_gone_is_run_again
        a_repeat_takes_a_held_session_over_and_fences_the_first
        only_the_named_holder_loses_a_session_to_a_takeover
        a_client_that_comes_back_of_its_own_accord_is_not_told_again_that_its_session_is_open
        commits_count_only_for_the_generation_they_name
        subscriptions_have_a_limit_and_end_when_told
        a_lost_receiver_ends_the_session_and_frees_its_id
        a_disowned_attach_has_handed_out_nothing
        what_the_client_is_known_to_have_is_not_kept
        on_close_waits_for_the_handler_call_under_way_and_is_given_once
        a_closed_session_tells_what_waits_and_then_why_again_and_again
        a_session_that_is_told_too_much_is_closed_and_grows_no_further
        what_a_receiver_was_handed_is_not_unread
        requests_that_are_repeated_for_ever_do_not_let_a_session_grow
        handler_calls_of_a_session_never_overlap
        what_a_handler_call_sends_is_told_to_the_holder
        a_send_that_the_balancer_repeats_is_done_once
        too_many_messages_in_a_second_close_the_session
        attributes_are_seen_by_the_next_call
        a_client_that_does_not_come_back_ends_its_session_once
        an_attached_session_does_not_expire_and_a_released_one_starts_anew
        a_closing_session_is_forgotten_without_another_on_close
        sessions_are_counted_by_whoever_looks_after_them
        signals_reach_the_node_they_are_for;
}

#[tokio::test(start_paused = true)]
async fn sessions_of_the_last_node_in_memory_end_with_it() {
    sessions::sessions_of_the_last_node_end_with_it(World::memory()).await;
}

/// Cases that run at once: their delays are real, and the machine is not theirs alone.
const AT_ONCE: usize = 8;

/// Runs all cases against one server, each below a prefix of its own.
async fn keep_the_contract(url: &str) {
    let permits = Arc::new(Semaphore::new(AT_ONCE));
    let mut cases = JoinSet::new();
    for (name, case) in CASES {
        let world = World::redis(url, name).await;
        let permits = Arc::clone(&permits);
        cases.spawn(async move {
            let _permit = permits.acquire().await.unwrap();
            let run = AssertUnwindSafe(case(world));
            futures_util::FutureExt::catch_unwind(run).await.err().map(|_| *name)
        });
    }
    let failed: Vec<_> = cases.join_all().await.into_iter().flatten().collect();
    assert!(failed.is_empty(), "these failed, for the reasons above: {failed:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_keeps_the_contract() {
    let server = redis::Redis::start();
    keep_the_contract(&server.url()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_cluster_keeps_the_contract() {
    let cluster = redis::Cluster::start(3, 0);
    keep_the_contract(&cluster.url()).await;
}
