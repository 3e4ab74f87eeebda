//! STOMP from outside: each claim in memory over a plain WebSocket, in memory over polls that hop between two nodes, and
//! over three nodes with a Redis.

mod api;
mod api_presence;
mod apps;
#[path = "../support/backend.rs"]
mod backend;
mod bad_input;
mod connects;
mod history;
mod hooks;
mod messages;
mod presence;
mod queues;
#[path = "../support/redis.rs"]
mod redis;
mod resumed;
mod sessions;
#[path = "../support/tls.rs"]
mod tls;
mod tokens;
mod users;
mod wildcards;
mod world;

/// Makes each claim a test at every place.
macro_rules! everywhere {
    ($($module:ident: $($claim:ident)+;)+) => {
        everywhere!(@place memory_socket MemorySocket $($module $($claim)+;)+);
        everywhere!(@place memory_polls MemoryPolls $($module $($claim)+;)+);
        everywhere!(@place redis_polls RedisPolls $($module $($claim)+;)+);
    };
    (@place $name:ident $place:ident $($module:ident $($claim:ident)+;)+) => {
        mod $name {
            $($(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $claim() {
                    crate::$module::$claim(crate::world::Place::$place).await;
                }
            )+)+
        }
    };
}

/// Makes each claim a test where sessions can be resumed.
macro_rules! where_sessions_resume {
    ($($module:ident: $($claim:ident)+;)+) => {
        everywhere!(@place memory_resumed MemoryPolls $($module $($claim)+;)+);
        everywhere!(@place redis_resumed RedisPolls $($module $($claim)+;)+);
    };
}

where_sessions_resume! {
    resumed:
        a_topics_messages_that_were_not_acknowledged_come_again
        a_queues_messages_that_were_not_acknowledged_come_again
        a_queues_message_that_came_before_the_client_had_connected_anew_comes_again;
}

everywhere! {
    sessions:
        the_newest_common_version_is_spoken
        frames_may_come_in_halves_and_several_at_once
        a_disconnect_is_receipted_and_ends_the_session
        both_sides_agree_on_heart_beats_and_the_server_keeps_to_them
        many_subscriptions_of_one_session_end_one_by_one;
    messages:
        a_topic_reaches_all_its_subscribers_in_order
        several_subscriptions_of_one_session_to_one_topic_each_get_the_message
        headers_and_bodies_arrive_as_they_were_sent
        versions_speak_with_each_other
        the_application_sends_to_topics
        what_the_application_sends_under_an_id_arrives_once
        a_transaction_is_sent_when_it_is_committed
        a_transaction_that_is_aborted_is_never_sent
        acknowledging_messages_of_a_topic_is_no_error
        a_subscription_after_a_message_gets_what_came_since
        a_subscription_with_a_history_gets_the_newest_first
        a_position_that_is_not_kept_is_told;
    queues:
        each_message_of_a_queue_goes_to_one_subscriber
        messages_of_a_queue_wait_until_somebody_subscribes
        what_is_not_acknowledged_goes_to_another_when_its_subscription_ends
        what_is_not_acknowledged_goes_to_another_when_its_client_disconnects
        what_is_not_acknowledged_goes_to_another_when_its_client_is_lost
        what_a_client_without_acknowledgements_has_got_does_not_come_again
        a_client_gets_no_more_than_it_may_have_unacknowledged
        clients_that_do_not_acknowledge_are_given_more_as_they_receive
        a_nack_hands_a_message_to_another_or_again_to_the_same
        every_version_acknowledges_in_its_own_way
        acknowledgements_in_a_transaction_count_when_it_is_committed
        acknowledgements_of_what_nobody_was_given_are_refused
        what_a_queue_does_not_have_is_refused
        what_is_sent_to_a_queue_under_an_id_comes_once
        a_full_queue_refuses_messages_until_some_are_acknowledged
        where_queues_are_topics_each_subscriber_gets_each_message
        rules_say_who_may_use_a_queue
        a_queue_has_consumers_on_all_nodes_and_loses_nothing_as_they_come_and_go;
    apps:
        the_application_handles_its_destinations_and_answers_the_sender_alone
        a_handler_is_found_by_its_pattern_and_sees_who_sent_what
        a_handler_may_refuse_and_its_panic_ends_one_session
        a_transaction_reaches_the_application_when_it_is_committed
        the_application_answers_a_subscription_once_and_nobody_else
        subscriptions_that_the_application_does_not_answer_are_refused;
    api:
        a_backend_publishes_and_reads_at_another_node_what_subscribers_get
        a_backend_reaches_all_sessions_of_a_user
        a_replayed_id_is_answered_alike_and_sent_once
        a_replayed_id_to_a_queue_is_answered_alike_and_sent_once
        a_full_queue_is_told_and_takes_the_same_id_once_there_is_room
        a_batch_is_sent_in_order_with_an_outcome_for_each
        pages_of_the_api_lead_both_ways_and_tell_what_is_gone
        who_shows_no_key_or_a_wrong_one_is_refused_before_all_else
        requests_that_are_wrong_are_told_where
        cursors_that_are_forged_or_foreign_are_refused
        the_document_describes_each_path_and_is_everybodys
        rules_of_clients_are_not_those_of_the_api;
    history:
        history_says_who_sent_what_and_when
        pages_of_history_lead_both_ways
        pages_read_while_messages_arrive_show_each_once_and_in_order
        history_that_goes_while_it_is_paged_is_told
        cursors_that_are_none_of_the_destination_are_refused
        what_was_meant_for_one_session_is_in_no_history;
    users:
        a_user_is_reached_in_all_sessions_and_nobody_else_is
        a_client_without_a_user_has_destinations_of_its_own
        users_on_two_nodes_talk_through_topics_and_their_queues
        rules_say_who_may_do_what_and_nobody_may_do_the_rest
        nobody_reads_what_is_sent_to_another
        a_session_ends_with_its_token;
    tokens:
        a_token_may_be_in_any_of_its_places
        each_algorithm_is_verified_with_its_key
        tokens_that_show_nobody_are_refused
        keys_of_a_set_are_found_by_name_and_read_again;
    connects:
        the_application_says_who_connects_and_what_it_may_do
        whom_the_application_refuses_is_told_why
        a_session_ends_when_the_application_has_said
        a_token_is_verified_before_the_application_is_asked
        the_application_is_told_of_each_end_once
        a_client_that_connects_and_leaves_in_one_breath_was_there;
    wildcards:
        a_wildcard_finds_the_topics_that_there_are_and_begins_new_ones_at_their_beginning
        wildcards_stand_for_segments_between_points_and_slashes
        many_new_topics_between_two_looks_are_all_found
        unsubscribing_ends_all_that_a_wildcard_has_led_to
        a_wildcard_with_a_history_gets_the_newest_of_each_first
        wildcards_where_they_do_not_belong_are_refused
        a_wildcard_needs_one_rule_for_all_that_it_stands_for
        rules_of_the_session_alone_hold_for_wildcards_too
        a_wildcard_that_leads_to_too_many_topics_for_its_session_ends_it
        more_topics_than_can_be_found_are_told_to_wildcards_and_to_nobody_else;
    presence:
        who_is_in_a_destination_is_told_and_then_each_join_and_leave
        a_session_is_there_until_its_last_subscription_ends
        presence_is_told_from_a_position_on_without_a_gap
        sessions_that_end_in_whatever_way_leave_once
        presence_is_told_where_it_is_kept_and_a_rule_allows_it
        sessions_are_listed_with_what_is_known_of_them
        sessions_are_ended_from_any_node_one_or_all_of_a_user;
    api_presence:
        the_api_says_who_is_here_page_by_page
        the_api_lists_sessions_and_ends_them
        calls_about_presence_and_sessions_that_are_wrong_are_refused;
    hooks:
        a_backend_handles_messages_and_its_answers_are_sent
        a_backend_answers_subscriptions
        a_call_is_signed_with_the_time_and_the_body
        what_one_client_sends_reaches_the_backend_in_order_over_one_connection
        a_backend_that_fails_is_told_to_the_client_and_to_nobody_else
        a_backend_that_is_not_there_is_waited_for_and_then_told
        only_so_many_calls_are_under_way_and_only_so_many_wait
        a_backend_says_who_connects_and_is_asked_with_all_that_is_known
        nobody_gets_in_while_the_backend_fails
        a_backend_is_told_who_has_left_however_often_it_takes;
    bad_input:
        what_is_no_frame_is_refused
        nothing_comes_before_connect_and_connect_comes_once
        versions_and_heart_beats_that_are_none_are_refused
        frames_over_the_limit_are_refused
        destinations_that_are_none_are_refused
        missing_headers_are_named
        subscription_floods_are_refused
        transactions_that_never_end_are_refused
        others_are_undisturbed_by_a_refusal;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plain_websocket_gets_the_newest_subprotocol_that_it_offers() {
    let world = world::World::new(world::Place::MemorySocket, world::service).await;
    for (offered, agreed) in [
        ("v10.stomp, v11.stomp, v12.stomp", Some("v12.stomp")),
        ("v10.stomp,v11.stomp", Some("v11.stomp")),
        ("v10.stomp", Some("v10.stomp")),
    ] {
        assert_eq!(world.socket(offered).await.1.as_deref(), agreed, "{offered}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn binary_messages_of_a_plain_websocket_are_text() {
    use futures_util::{SinkExt, StreamExt};
    use tokio_tungstenite::tungstenite::Message;
    let world = world::World::new(world::Place::MemorySocket, world::service).await;
    let (mut socket, _) = world.socket("v12.stomp").await;
    socket.send(Message::binary("CONNECT\naccept-version:1.2\n\n\0")).await.unwrap();
    let connected = socket.next().await.unwrap().unwrap();
    assert!(connected.to_text().unwrap().starts_with("CONNECTED\n"), "{connected}");
    socket.send(Message::binary(vec![0xff])).await.unwrap();
    let closed = socket.next().await.unwrap().unwrap();
    assert!(matches!(&closed, Message::Close(Some(frame)) if u16::from(frame.code) == 1007), "{closed:?}");
}
