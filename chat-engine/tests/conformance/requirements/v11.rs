//! STOMP 1.1, in the order of its text.

crate::requirements::requirements! {
    Stomp11 in V11;
    "STOMP Frames" {
        PLAIN "The command and each header are terminated by a newline: a carriage return belongs to the value" [frames::a_carriage_return_belongs_to_the_value]
        PLAIN "The command is followed by headers" [frames::a_frame_may_have_no_headers]
        PLAIN "A blank line ends the headers and begins the body" [frames::a_blank_line_ends_the_headers]
        PLAIN "The null byte can be followed by multiple newlines" [frames::line_feeds_may_follow_a_frame]
        PLAIN "The protocol beneath is a stream: frames may be cut anywhere" [frames::frames_may_be_split_anywhere]
        PLAIN "As above: a byte at a time" [frames::frames_may_come_byte_by_byte]
        PLAIN "As above: several frames at once" [frames::frames_may_come_together]
        PLAIN "Text based, but allows for binary messages: frames come in either kind of WebSocket message" [frames::binary_messages_are_frames_too]
        PLAIN "All commands are case sensitive" [frames::commands_are_case_sensitive]
        PLAIN "All header names are case sensitive" [frames::header_names_are_case_sensitive]
        PLAIN "As above: in another case they are user-defined, and MUST be passed through" [send::names_in_another_case_are_user_defined]
    }
    "Value Encoding" {
        PLAIN "Commands and headers are encoded in UTF-8" [value_encoding::headers_are_utf_8]
        PLAIN "As above: what is not UTF-8 is no header" [value_encoding::headers_that_are_not_utf_8_are_refused]
        PLAIN "All frames but CONNECT and CONNECTED escape colons and newlines" [value_encoding::server_headers_are_escaped_too]
        PLAIN "CONNECT does not escape them" [value_encoding::connect_is_not_unescaped]
        PLAIN "CONNECTED does not escape them" [value_encoding::connected_is_not_escaped]
        MUST "Decoding transforms `\\n` to newline" [value_encoding::n_is_a_line_feed]
        MUST "Decoding transforms `\\c` to a colon" [value_encoding::c_is_a_colon]
        MUST "Decoding transforms `\\\\` to a backslash" [value_encoding::a_double_backslash_is_one]
        MUST "Escapes apply to header names too" [value_encoding::names_are_unescaped_too]
        MUST "Undefined escape sequences such as `\\r` are a fatal protocol error" [value_encoding::undefined_escapes_are_fatal]
        MUST "Encoding applies the reverse transformation" [value_encoding::headers_are_escaped_on_the_way_out]
        PLAIN "SEND, MESSAGE and ERROR can have a body" [send::the_body_is_the_message]
        MUST_NOT "All other frames have a body: a client's" [body::other_frames_have_none]
        MUST_NOT "All other frames have a body: the server's RECEIPT and CONNECTED" [receipt::of_send]
        MUST "Servers never trim or pad headers with spaces" [frames::spaces_are_kept]
        MUST "As above: nor those that name something" [frames::spaces_of_an_id_are_kept]
    }
    "Size Limits" {
        MAY "Servers limit the number of headers in a frame" [limits::too_many_headers]
        SHOULD "Beyond it the server sends an ERROR and disconnects the client" [limits::too_many_headers]
        MAY "Servers limit the length of header lines" [limits::too_long_a_header]
        SHOULD "Beyond it the server sends an ERROR and disconnects the client" [limits::too_long_a_header]
        MAY "Servers limit the size of a body" [limits::too_long_a_body]
        SHOULD "Beyond it the server sends an ERROR and disconnects the client" [limits::too_long_a_body]
        SHOULD "As above: a body in many pieces" [limits::too_long_a_body_in_pieces]
        SHOULD "As above: a body that is only announced" [limits::too_long_a_body_announced]
    }
    "Repeated Header Entries" {
        MAY "An intermediate server updates header values by prepending headers or in place" ("It does neither: the headers of a sender arrive as they were sent.")
        SHOULD "Only the first of repeated headers is used (the text says so of clients; the server does the same)" [frames::the_first_of_repeated_headers_counts]
        SHOULD "As above: `content-length`" [frames::the_first_content_length_counts]
    }
    "Connecting" {
        PLAIN "A client initiates the stream by sending CONNECT" [connecting::connect_comes_first]
        PLAIN "As above: once" [connecting::connect_comes_once]
        PLAIN "A server that accepts responds with CONNECTED" [connecting::connect_is_answered_by_connected]
        SHOULD "A server that rejects responds with an ERROR that says why, and closes" [connecting::a_rejection_says_why]
        MUST "Servers support clients which rapidly connect and disconnect" [limits::clients_may_come_and_go_fast]
    }
    "CONNECT or STOMP Frame" {
        SHOULD "STOMP is handled in the same manner as CONNECT" [connecting::stomp_is_connect]
        SHOULD "As above: with a colon in a value, as a token may have it" [connecting::stomp_is_not_unescaped_either]
        SHOULD "Clients continue to use CONNECT" ("A rule for clients; both work.")
        MUST "Clients set `accept-version`" [negotiation::a_missing_accept_version_means_1_0]
        MUST "Clients set `host`" ("It is not missed: there are no virtual hosts, and old browser clients leave it out.")
        PLAIN "As above: the default host is served" [connecting::no_host_is_the_default_host]
        MAY "A server selects a default host for one that it does not know" [connecting::any_host_is_served]
        MAY "Clients set `login` and `passcode`" [connecting::a_passcode_lets_in]
    }
    "CONNECTED Frame" {
        MUST "Servers set `version`" [connecting::connected_names_the_version]
        MUST "As above: where 1.0 comes of `accept-version` too" [connecting::connected_names_1_0_to_who_asked]
        MAY "Servers set `session`, which uniquely identifies the session" [connecting::sessions_are_unique]
        MAY "Servers set `server`" [connecting::the_server_names_itself]
        MUST "`server` contains a name, then optionally a version and comments" [connecting::the_server_names_itself]
    }
    "Protocol Negotiation" {
        MUST "CONNECT includes `accept-version`; without it the client supports 1.0 only" [negotiation::a_missing_accept_version_means_1_0]
        SHOULD "It is a list of incrementing versions" [negotiation::the_order_does_not_matter]
        PLAIN "The highest version in common is used" [negotiation::the_highest_common_version_is_taken]
        PLAIN "It is used for the rest of the session" [negotiation::the_session_keeps_to_it]
        SHOULD "Without a common version the server responds with ERROR (`version`, `content-type`, body)" [negotiation::no_common_version_is_an_error]
    }
    "Once Connected" {
        MAY "To a frame that it does not know a server responds with ERROR" [frames::unknown_commands_are_refused]
    }
    "SEND" {
        PLAIN "The body is the message to be sent" [send::the_body_is_the_message]
        MUST "`destination` is required" [send::it_needs_a_destination]
        PLAIN "`transaction` makes it part of one" [transactions::a_send_waits_for_its_commit]
        SHOULD "SEND with a body includes `content-length` and `content-type`" ("A rule for clients; without them it works too.")
        MAY "An application adds arbitrary headers" [send::user_defined_headers_pass_through]
        MUST "User-defined headers are passed through in MESSAGE" [send::user_defined_headers_pass_through]
        PLAIN "As above: but what the server says of a message itself nobody else says" [send::a_sender_forges_nothing]
        MUST "A SEND that cannot be processed gets an ERROR, and the server disconnects the client" [send::a_send_that_cannot_be_done_is_an_error]
        PLAIN "Delivery is for the destination to define: `/topic` keeps a sender's order" [send::messages_of_one_sender_keep_their_order]
    }
    "SUBSCRIBE" {
        MUST "`destination` is required" [subscribe::it_needs_a_destination]
        PLAIN "Messages to the destination come as MESSAGE frames" [subscribe::messages_come_to_the_subscription]
        PLAIN "As above: one's own too" [subscribe::a_sender_hears_itself]
        MUST "A subscription that cannot be made gets an ERROR, and the server disconnects the client" [subscribe::one_that_cannot_be_made_is_an_error]
        MAY "Servers support additional headers; others do no harm" [subscribe::unknown_headers_do_no_harm]
    }
    "SUBSCRIBE id Header" {
        MUST "`id` is included" [subscribe::it_needs_an_id]
        PLAIN "A connection can have several subscriptions, to one destination too" [subscribe::a_destination_may_have_several]
        MUST "`id` uniquely identifies the subscription within the session" [subscribe::ids_are_different]
        PLAIN "As above: other connections may use the same" [subscribe::ids_are_those_of_the_connection]
        PLAIN "As above: one that was ended is free" [subscribe::an_id_is_free_again]
    }
    "SUBSCRIBE ack Header" {
        PLAIN "Its values are `auto`, `client` and `client-individual`" [subscribe::ack_is_one_of_its_values]
        PLAIN "It defaults to `auto`, in which no ACK is needed" [acknowledging::auto_needs_no_ack]
        PLAIN "As above: there is nothing to acknowledge" [acknowledging::there_is_nothing_to_acknowledge_in_auto]
        MUST "In `client` mode the client sends ACKs: beyond a limit it is closed without" [acknowledging::client_mode_waits_for_acks]
        MAY "A message that was not acknowledged is redelivered to another client" ("Every subscriber of a `/topic` has its own copy: there is no other client to get it.")
        PLAIN "In `client` mode an ACK is cumulative" [acknowledging::client_mode_is_cumulative]
        PLAIN "As above: in a chat room, where what is acknowledged has been read" [rooms::client_mode_is_cumulative]
        PLAIN "As above: for its own subscription" [acknowledging::subscriptions_are_acknowledged_apart]
        MUST_NOT "In `client-individual` mode an ACK acknowledges a previous message" [acknowledging::client_individual_is_not_cumulative]
        MUST_NOT "As above: in a chat room, where the unbroken run has been read" [rooms::client_individual_is_not_cumulative]
        MUST_NOT "As above: nor does a NACK" [acknowledging::nack_is_for_one_in_client_individual]
        PLAIN "As above: each is answered by itself, in any order" [acknowledging::each_may_be_answered_in_any_order]
    }
    "UNSUBSCRIBE" {
        PLAIN "Nothing more is received from a subscription that was removed" [subscribe::unsubscribe_ends_one_only]
        PLAIN "It requires an `id`" [subscribe::unsubscribe_needs_an_id]
        PLAIN "`id` matches that of a previous SUBSCRIBE" [subscribe::unsubscribe_needs_a_subscription]
    }
    "ACK" {
        PLAIN "A message is not consumed before its ACK or NACK" [acknowledging::client_mode_waits_for_acks]
        MUST "`message-id` is required and matches that of the MESSAGE" [acknowledging::ack_needs_its_headers]
        MUST "As above: a MESSAGE that was delivered" [acknowledging::only_what_was_delivered_is_acknowledged]
        MUST "As above: of a chat room" [rooms::only_what_was_delivered_is_acknowledged]
        PLAIN "As above: any MESSAGE of a chat room, events and pages of history too" [rooms::every_message_can_be_acknowledged]
        MUST "`subscription` is required and matches the `id` of the subscription" [acknowledging::ack_needs_its_headers]
        MAY "`transaction` is specified" [acknowledging::an_ack_in_a_transaction_counts_when_it_commits]
        SHOULD "The ACK is then part of the transaction" [acknowledging::an_ack_in_an_aborted_transaction_does_not_count]
        SHOULD "As above: in a chat room" [rooms::an_ack_in_a_transaction_counts_when_it_commits]
        PLAIN "As above: the transaction is one in progress" [acknowledging::an_ack_needs_its_transaction]
        PLAIN "What was acknowledged stays so: an ACK may be repeated" [acknowledging::repeating_an_ack_does_no_harm]
        PLAIN "As above: in a chat room" [rooms::repeating_an_ack_does_no_harm]
    }
    "NACK" {
        PLAIN "The server sends the message to another client, discards it or puts it aside: it is discarded" [acknowledging::nack_is_taken]
        PLAIN "As above: in a chat room it stays unread" [rooms::nack_consumes_nothing]
        MUST "`message-id` and `subscription` are mandatory" [acknowledging::ack_needs_its_headers]
        PLAIN "It applies to one message in `client-individual` mode" [acknowledging::nack_is_for_one_in_client_individual]
        PLAIN "It applies to all before and not yet answered otherwise" [acknowledging::nack_is_cumulative_in_client_mode]
    }
    "BEGIN" {
        PLAIN "What was sent in a transaction is processed atomically" [transactions::a_send_waits_for_its_commit]
        PLAIN "As above: all or nothing" [transactions::all_or_nothing]
        PLAIN "`transaction` binds frames to the named transaction" [transactions::transactions_are_apart]
        PLAIN "As above: one in progress" [transactions::a_send_needs_its_transaction]
        MUST "`transaction` is required" [transactions::its_header_is_required]
        PLAIN "A transaction is known by its id: a second one of the same id is an error" [transactions::ids_are_different]
        PLAIN "As above: other connections may use the same" [transactions::ids_are_those_of_the_connection]
        PLAIN "DISCONNECT aborts what was not committed" [transactions::disconnect_aborts]
        PLAIN "So does the loss of the connection" [transactions::a_lost_connection_aborts]
    }
    "COMMIT" {
        MUST "`transaction` is required" [transactions::its_header_is_required]
        MUST "It is the id of the transaction to commit" [transactions::only_one_in_progress_can_end]
    }
    "ABORT" {
        PLAIN "It rolls the transaction back" [transactions::an_abort_undoes]
        MUST "`transaction` is required" [transactions::its_header_is_required]
        MUST "It is the id of the transaction to abort" [transactions::only_one_in_progress_can_end]
    }
    "DISCONNECT" {
        SHOULD "A client sends DISCONNECT with `receipt`, waits for the RECEIPT and closes" [disconnect::its_receipt_comes_and_then_the_close]
        PLAIN "The RECEIPT assures that all previous frames have been received" [disconnect::everything_before_it_is_done]
        MUST_NOT "Clients send frames after it" [disconnect::nothing_behind_it_is_heard]
        PLAIN "It may come without a `receipt`" [disconnect::without_a_receipt_it_closes]
    }
    "Header content-length" {
        SHOULD "MESSAGE with a body includes `content-length`" [body::messages_have_a_content_length]
        SHOULD "ERROR with a body includes `content-length`" [error::it_has_a_length_and_a_type]
        MUST "A frame whose body contains NULL octets includes `content-length`" [body::messages_with_nuls_have_a_content_length]
        MUST "This number of bytes is read, nulls or not" [body::content_length_counts_octets]
        PLAIN "The frame still needs to be terminated with a null byte" [body::a_nul_follows_the_counted_octets]
        PLAIN "As above: what is no count cannot be read" [body::content_length_is_a_number]
        PLAIN "Without it the first null byte ends the body" [body::it_ends_at_the_first_nul]
    }
    "Header content-type" {
        SHOULD "MESSAGE with a body includes `content-type`: the sender's" [body::content_type_passes_through]
        SHOULD "ERROR with a body includes `content-type`" [error::it_has_a_length_and_a_type]
        SHOULD "It is set to a MIME type: the server's own `text/plain`" [error::it_has_a_length_and_a_type]
        SHOULD "Without it the receiver considers the body a binary blob" [body::a_body_without_a_type_is_a_blob]
        SHOULD "`;charset=` is appended for other encodings than UTF-8" [body::bodies_are_not_recoded]
        MUST "Servers support UTF-8 encoding and decoding" [body::utf_8_passes_through]
    }
    "Header receipt" {
        MAY "Any client frame other than CONNECT specifies a `receipt`: SEND" [receipt::of_send]
        MAY "As above: SUBSCRIBE and UNSUBSCRIBE" [receipt::of_subscribe_and_unsubscribe]
        MAY "As above: BEGIN, COMMIT and ABORT" [receipt::of_begin_commit_and_abort]
        MAY "As above: ACK and NACK" [receipt::of_ack_and_nack]
        MAY "As above: DISCONNECT" [receipt::of_disconnect]
        MAY "As above: a frame in a transaction" [receipt::of_what_is_in_a_transaction]
        PLAIN "CONNECT has no receipt" [receipt::not_of_connect]
        PLAIN "Its value is arbitrary" [receipt::its_id_is_arbitrary]
    }
    "Server Frames" {
        MAY "Besides CONNECTED they are MESSAGE, RECEIPT or ERROR" [frames::a_server_sends_its_own_frames_only]
    }
    "MESSAGE" {
        PLAIN "`destination` is included" [message::its_destination_is_that_of_the_send]
        PLAIN "`message-id` is unique" [message::its_id_is_unique]
        PLAIN "`subscription` matches the subscription that is receiving" [message::its_subscription_is_the_one_it_came_by]
        PLAIN "ACK is by `message-id` and `subscription`: the `ack` header of 1.2 is not sent" [acknowledging::no_ack_header_before_1_2]
        PLAIN "The body contains the contents of the message" [message::its_body_is_as_it_was_sent]
        SHOULD "`content-length` is included" [body::messages_have_a_content_length]
        SHOULD "`content-type` is included" [body::content_type_passes_through]
        PLAIN "All user-defined headers are included" [send::user_defined_headers_pass_through]
        MAY "Server-specific headers get added" [send::a_sender_forges_nothing]
    }
    "RECEIPT" {
        PLAIN "It is sent once a frame that asks for it was processed" [receipt::none_unless_asked]
        PLAIN "`receipt-id` has the value of the frame's `receipt`" [receipt::its_id_is_arbitrary]
        PLAIN "The receipt body will be empty" [receipt::of_send]
    }
    "ERROR" {
        MAY "The server sends ERROR if something goes wrong" [error::its_body_says_more]
        PLAIN "The connection is closed after it, where the text says so and elsewhere too" [error::the_server_closes_behind_it]
        PLAIN "As above: that connection" [error::it_ends_one_connection_only]
        SHOULD "It contains a `message` with a short description" [error::it_has_a_short_message]
        MAY "The body contains more detailed information" [error::its_body_says_more]
        SHOULD "It has headers that help identify the frame that caused it" [error::it_names_the_frame_that_caused_it]
        SHOULD "`receipt-id` matches the `receipt` of that frame" [error::it_names_the_frame_that_caused_it]
        PLAIN "As above: there is none where there was none" [error::no_receipt_id_where_none_was_asked]
        SHOULD "`content-length` and `content-type` are included" [error::it_has_a_length_and_a_type]
    }
    "Heart-beating" {
        MUST "`heart-beat` contains two integers separated by a comma: the server's" [heart_beating::connected_declares_both_directions]
        MUST "As above: the client's" [heart_beating::malformed_headers_are_refused]
        MUST "A missing header is treated as `0,0`" [heart_beating::none_when_nobody_asked]
        PLAIN "0 means that it cannot send, or does not want, heart-beats" [heart_beating::none_when_nobody_asked]
        PLAIN "From the client they come every MAX(cx, sy) ms" [heart_beating::the_server_wish_counts_when_it_is_longer]
        PLAIN "From the server they come every MAX(sx, cy) ms" [heart_beating::the_client_wish_counts_when_it_is_longer]
        PLAIN "Any new data is a sign of life: line ends" [heart_beating::line_ends_keep_a_client_alive]
        PLAIN "As above: frames" [heart_beating::frames_keep_a_client_alive]
        PLAIN "As above: parts of frames" [heart_beating::parts_of_frames_keep_a_client_alive]
        MUST "The sender sends new data at least every n ms" [heart_beating::an_idle_server_sends_line_ends]
        MUST "A sender without a frame to send sends a single newline" [heart_beating::an_idle_server_sends_line_ends]
        PLAIN "A receiver can consider a silent connection dead" [heart_beating::a_silent_client_is_closed]
        SHOULD "A receiver is tolerant and takes an error margin into account" [heart_beating::the_server_allows_for_a_margin]
    }
    "Augmented BNF" {
        PLAIN "A header has a colon" [frames::a_header_line_has_a_colon]
        PLAIN "A header's name has at least one octet" [frames::a_header_has_a_name]
        PLAIN "A header's value may be empty" [frames::a_header_may_be_empty]
        PLAIN "A header's value has no colon: the server's" [value_encoding::server_headers_are_escaped_too]
        PLAIN "As above: a client's" ("Taken as part of the value: many clients do not escape it, and there is one meaning only.")
    }
}
