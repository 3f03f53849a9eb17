//! STOMP 1.0, in the order of its text, which has no key words.

crate::requirements::requirements! {
    Stomp10 in V10;
    "Frames" {
        PLAIN "The client opens a socket and sends CONNECT" [connecting::connect_comes_first]
        PLAIN "As above: once" [connecting::connect_comes_once]
        PLAIN "CONNECT has `login` and `passcode`" [connecting::a_passcode_lets_in]
        PLAIN "Each header is followed by a newline: a carriage return belongs to the value" [frames::a_carriage_return_belongs_to_the_value]
        PLAIN "A blank line ends the headers and begins the body" [frames::a_blank_line_ends_the_headers]
        PLAIN "The null ends the frame" [body::it_ends_at_the_first_nul]
        PLAIN "A socket is a stream: frames may be cut anywhere" [frames::frames_may_be_split_anywhere]
        PLAIN "As above: a byte at a time" [frames::frames_may_come_byte_by_byte]
        PLAIN "As above: several frames at once" [frames::frames_may_come_together]
        PLAIN "As above: frames come in either kind of WebSocket message" [frames::binary_messages_are_frames_too]
        PLAIN "A rejected client is told why (1.0 says that CONNECT is always acknowledged, and knows no authentication that fails)" [connecting::a_rejection_says_why]
        PLAIN "The server acknowledges CONNECT with CONNECTED" [connecting::connect_is_answered_by_connected]
        PLAIN "CONNECTED has a `session` that is unique" [connecting::sessions_are_unique]
        PLAIN "The examples pad values with a space behind the colon" [frames::values_may_be_padded]
        PLAIN "There are no escapes: a backslash is a backslash" [value_encoding::nothing_is_escaped]
        PLAIN "As above: in the server's own headers" [value_encoding::receipts_are_not_escaped]
        PLAIN "There are no heart-beats: a silent client is not closed, and gets none" [heart_beating::none_for_1_0]
    }
    "SEND" {
        PLAIN "It sends a message to a destination; the body is the message" [send::the_body_is_the_message]
        PLAIN "`destination` is required" [send::it_needs_a_destination]
        PLAIN "What cannot be sent is an error" [send::a_send_that_cannot_be_done_is_an_error]
        PLAIN "`transaction` makes it part of one" [transactions::a_send_waits_for_its_commit]
        PLAIN "`content-length` is recommended" ("A rule for clients; without it the frame ends at the first null.")
        PLAIN "With `content-length` this number of bytes is read, nulls or not" [body::content_length_counts_octets]
        PLAIN "The frame still needs to be terminated with a null byte" [body::a_nul_follows_the_counted_octets]
        PLAIN "As above: what is no count cannot be read" [body::content_length_is_a_number]
        PLAIN "Without it the first null byte ends the frame" [body::it_ends_at_the_first_nul]
        PLAIN "Other headers than those named are not forbidden: they pass through" [send::user_defined_headers_pass_through]
        PLAIN "As above: but what the server says of a message itself nobody else says" [send::a_sender_forges_nothing]
        PLAIN "Delivery is for the destination to define: `/topic` keeps a sender's order" [send::messages_of_one_sender_keep_their_order]
    }
    "SUBSCRIBE" {
        PLAIN "`destination` is required" [subscribe::it_needs_a_destination]
        PLAIN "Messages to the destination come as MESSAGE frames" [subscribe::messages_come_to_the_subscription]
        PLAIN "As above: one's own too" [subscribe::a_sender_hears_itself]
        PLAIN "What cannot be subscribed to is an error" [subscribe::one_that_cannot_be_made_is_an_error]
        PLAIN "`ack` defaults to `auto`" [acknowledging::auto_needs_no_ack]
        PLAIN "With `ack:client` messages are delivered once they are acknowledged" [acknowledging::client_mode_waits_for_acks]
        PLAIN "The valid values of `ack` are `auto` and `client`" [subscribe::ack_is_one_of_its_values]
        PLAIN "The body of SUBSCRIBE is ignored" [body::the_body_of_subscribe_is_ignored]
        MAY "Brokers support `selector`" [subscribe::a_selector_is_not_applied]
        PLAIN "`id` is optional" [subscribe::ids_are_optional_in_1_0]
        SHOULD "Where `id` was given MESSAGE has `subscription`" [subscribe::an_id_in_1_0_comes_back]
    }
    "UNSUBSCRIBE" {
        PLAIN "It ends a subscription by `id`" [subscribe::an_id_in_1_0_comes_back]
        PLAIN "It ends a subscription by `destination`" [subscribe::unsubscribe_by_destination_in_1_0]
        PLAIN "It requires either" [subscribe::unsubscribe_in_1_0_needs_either]
        PLAIN "There is an existing subscription" [subscribe::unsubscribe_needs_a_subscription]
    }
    "BEGIN" {
        PLAIN "What was sent in a transaction is handled atomically" [transactions::a_send_waits_for_its_commit]
        PLAIN "As above: all or nothing" [transactions::all_or_nothing]
        PLAIN "`transaction` is required" [transactions::its_header_is_required]
        PLAIN "Its id binds frames to the named transaction" [transactions::transactions_are_apart]
        PLAIN "As above: one in progress" [transactions::a_send_needs_its_transaction]
        PLAIN "As above: two cannot have one name" [transactions::ids_are_different]
        PLAIN "A transaction that was not committed has not happened: DISCONNECT" [transactions::disconnect_aborts]
        PLAIN "As above: a lost connection" [transactions::a_lost_connection_aborts]
    }
    "COMMIT" {
        PLAIN "`transaction` is required" [transactions::its_header_is_required]
        PLAIN "It commits a transaction in progress" [transactions::only_one_in_progress_can_end]
    }
    "ACK" {
        PLAIN "With `ack:client` a message is not consumed before its ACK" [acknowledging::client_mode_waits_for_acks]
        PLAIN "ACK is cumulative (1.0 does not say; 1.1, which is compatible, does)" [acknowledging::client_mode_is_cumulative]
        PLAIN "As above: in a chat room, where what is acknowledged has been read" [rooms::client_mode_is_cumulative]
        PLAIN "`message-id` is required and matches that of the MESSAGE" [acknowledging::ack_needs_its_headers]
        PLAIN "As above: a MESSAGE that was delivered" [acknowledging::only_what_was_delivered_is_acknowledged]
        PLAIN "As above: of a chat room" [rooms::only_what_was_delivered_is_acknowledged]
        PLAIN "As above: any MESSAGE of a chat room, events and pages of history too" [rooms::every_message_can_be_acknowledged]
        PLAIN "`transaction` is optional" [acknowledging::an_ack_in_a_transaction_counts_when_it_commits]
        PLAIN "The ACK is then part of the transaction" [acknowledging::an_ack_in_an_aborted_transaction_does_not_count]
        PLAIN "As above: in a chat room" [rooms::an_ack_in_a_transaction_counts_when_it_commits]
        PLAIN "`subscription`, which 1.1 requires, does no harm" [acknowledging::a_subscription_may_be_named_in_1_0]
        PLAIN "There is no `ack` header on MESSAGE" [acknowledging::no_ack_header_before_1_2]
        PLAIN "NACK is not a command of 1.0" [acknowledging::nack_is_unknown_in_1_0]
    }
    "ABORT" {
        PLAIN "It rolls the transaction back" [transactions::an_abort_undoes]
        PLAIN "`transaction` is required" [transactions::its_header_is_required]
    }
    "DISCONNECT" {
        PLAIN "It is a graceful disconnect" [disconnect::without_a_receipt_it_closes]
        PLAIN "As above: after everything before it" [disconnect::everything_before_it_is_done]
    }
    "Receipt" {
        MAY "Any client frame other than CONNECT specifies a `receipt`: SEND" [receipt::of_send]
        MAY "As above: SUBSCRIBE and UNSUBSCRIBE" [receipt::of_subscribe_and_unsubscribe]
        MAY "As above: BEGIN, COMMIT and ABORT" [receipt::of_begin_commit_and_abort]
        MAY "As above: ACK" [receipt::of_ack_and_nack]
        MAY "As above: DISCONNECT" [receipt::of_disconnect]
        PLAIN "CONNECT has no receipt" [receipt::not_of_connect]
        PLAIN "RECEIPT contains its value as `receipt-id`" [receipt::its_id_is_arbitrary]
    }
    "Server Frames" {
        MAY "They are MESSAGE, RECEIPT or ERROR" [frames::a_server_sends_its_own_frames_only]
    }
    "MESSAGE" {
        PLAIN "`destination` is included" [message::its_destination_is_that_of_the_send]
        PLAIN "`message-id` is unique" [message::its_id_is_unique]
        PLAIN "The body contains the contents of the message" [message::its_body_is_as_it_was_sent]
        PLAIN "`content-length` is recommended" [body::messages_have_a_content_length]
        PLAIN "As above: with nulls in the body it is needed" [body::messages_with_nuls_have_a_content_length]
    }
    "RECEIPT" {
        PLAIN "It is sent where a client has requested it" [receipt::none_unless_asked]
        PLAIN "`receipt-id` has the value of the frame's `receipt`" [receipt::its_id_is_arbitrary]
        PLAIN "The receipt body will be empty" [receipt::of_send]
    }
    "ERROR" {
        MAY "The server sends ERROR if something goes wrong, and then closes" [error::the_server_closes_behind_it]
        SHOULD "It contains a `message` with a short description" [error::it_has_a_short_message]
        MAY "The body contains more detailed information" [error::its_body_says_more]
        PLAIN "`content-length` is recommended" [error::it_has_a_length_and_a_type]
    }
    "Augmented BNF" {
        PLAIN "Line feeds may follow a frame" [frames::line_feeds_may_follow_a_frame]
        PLAIN "A frame may have no headers" [frames::a_frame_may_have_no_headers]
        PLAIN "The commands are these, as they are written" [frames::unknown_commands_are_refused]
        PLAIN "As above" [frames::commands_are_case_sensitive]
        PLAIN "A header has a colon" [frames::a_header_line_has_a_colon]
        PLAIN "A header's name has at least one character" [frames::a_header_has_a_name]
        PLAIN "A header's value has at least one character" ("Taken if it is empty: nothing is gained by refusing what later versions allow.")
        PLAIN "A header's value has no line feed, which a later version's sender may have escaped" [frames::a_line_feed_of_1_2_forges_no_header_of_1_0]
        PLAIN "Headers are US-ASCII" ("UTF-8 is taken and sent, as in later versions: brokers do, and clients expect it.")
        PLAIN "The content is any octets" [body::a_body_without_a_type_is_a_blob]
    }
    "Limits" {
        PLAIN "1.0 names none; those of later versions apply: headers" [limits::too_many_headers]
        PLAIN "As above: a header's length" [limits::too_long_a_header]
        PLAIN "As above: a body's length" [limits::too_long_a_body]
    }
}
