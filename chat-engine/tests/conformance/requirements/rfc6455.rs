//! RFC 6455 where a sub-protocol stands on it. All of it is tested with the `websocket` crate.

crate::requirements::requirements! {
    Rfc6455 in V12;
    "§4.2.2 Server's Opening Handshake" {
        MUST "The sub-protocol is derived from the client's handshake: one of the values offered" [websocket::one_of_the_offered_is_chosen]
        PLAIN "As above: the newest version of STOMP" [websocket::the_newest_is_preferred]
        PLAIN "As above: names are compared as they are" [websocket::names_are_compared_as_they_are]
        MUST_NOT "A server that agrees to none sends back a `Sec-WebSocket-Protocol`" [websocket::nothing_known_is_refused]
        PLAIN "Without an offer the only acceptable value is null" [websocket::none_is_answered_when_none_was_offered]
        PLAIN "As above: then CONNECT negotiates" [websocket::without_one_stomp_negotiates]
        PLAIN "The sub-protocol in use is the version that is spoken, where CONNECT accepts it" [websocket::the_sub_protocol_is_spoken]
        PLAIN "As above: where it does not, CONNECT has the last word" [websocket::connect_has_the_last_word]
        PLAIN "Extensions are those of the client's offer" [websocket::no_extension_unless_offered]
    }
    "§11.3.4 Sec-WebSocket-Protocol" {
        MAY "The header appears several times in a request, which is one that contains all values" [websocket::the_header_may_come_in_parts]
        MUST_NOT "It appears more than once in a response" [websocket::one_of_the_offered_is_chosen]
    }
    "§5.1 Overview" {
        MUST "The server closes on a frame that is not masked" [websocket::frames_that_are_not_masked_end_it]
        MUST_NOT "A server masks" [websocket::a_server_does_not_mask]
    }
    "§5.4 Fragmentation" {
        MUST "Fragmented messages are received" [websocket::messages_may_be_fragmented]
        MUST "Control frames between fragments are handled" [websocket::messages_may_be_fragmented]
    }
    "§5.5 Control Frames" {
        MUST "A close is answered with a close" [websocket::a_close_is_answered]
        MUST "A ping is answered with a pong of the same data" [websocket::pings_are_answered]
    }
    "§5.6 Data Frames" {
        PLAIN "A text message is UTF-8: a STOMP frame that is not goes in a binary one" [websocket::what_is_not_utf_8_comes_as_binary]
    }
    "§7.1.1 Close the WebSocket Connection" {
        SHOULD "The server closes TCP first" [websocket::the_server_closes_tcp]
    }
    "§8.1 Handling of Errors in UTF-8-Encoded Data" {
        MUST "Text that is not UTF-8 fails the connection" [websocket::text_is_utf_8]
    }
}
