//! What is mailed. There is no SMTP yet: in development mode a mail becomes a row of the mailbox.

use sqlx::PgConnection;

use crate::account::Email;

/// A mail to be sent.
pub(crate) struct Mail {
    subject: String,
    body: String,
}

/// The mail with a code, in both languages: whoever asks has no account yet that would know theirs.
pub(crate) fn verification_code(code: &str) -> Mail {
    Mail {
        subject: "[모이자] 인증번호를 확인해 주세요 · Your Moyiza code".into(),
        body: format!(
            "인증번호: {code}\n5분 안에 입력해 주세요. 요청하신 적이 없다면 이 메일을 무시하셔도 됩니다.\n\n\
             The code above is good for five minutes. If you did not ask for it, ignore this mail.\n"
        ),
    }
}

/// Puts it into the development mailbox, in the transaction of what it tells of.
pub(crate) async fn send(transaction: &mut PgConnection, to: &Email, mail: &Mail) -> sqlx::Result<()> {
    sqlx::query("insert into dev_mailbox (recipient, subject, body) values ($1, $2, $3)")
        .bind(to)
        .bind(&mail.subject)
        .bind(&mail.body)
        .execute(transaction)
        .await?;
    Ok(())
}
