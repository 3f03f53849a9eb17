import { useEffect, useState } from 'react';
import { useApi } from '../api/api.tsx';
import { Link, navigate, useTitle } from '../router.tsx';
import { describeError, useLanguage, useText } from '../text/text.tsx';
import { TextField } from '../ui/field.tsx';
import { focusOnAppear } from '../ui/focus.ts';
import { useSubmission } from '../ui/form.tsx';

interface Sent {
  readonly email: string;
  readonly minutes: number;
}

/** First the e-mail is proven with a code, then the person is asked for the rest. */
export function SignUpPage({ next }: { readonly next: string }) {
  const text = useText();
  useTitle(text.signUp, text.brand);
  const [sent, setSent] = useState<Sent>();
  return (
    <section className="sheet">
      <h1 tabIndex={-1}>{text.signUp}</h1>
      <p className="step">{text.step(sent === undefined ? 1 : 2, 2)}</p>
      {sent === undefined ? (
        <AskForCode onSent={setSent} />
      ) : (
        <Complete sent={sent} next={next} onOtherEmail={() => setSent(undefined)} />
      )}
      <p className="aside">
        {text.haveAccount} <Link href={`/log-in?next=${encodeURIComponent(next)}`}>{text.logIn}</Link>
      </p>
    </section>
  );
}

function AskForCode({ onSent }: { readonly onSent: (sent: Sent) => void }) {
  const api = useApi();
  const text = useText();
  const { submit, busy, error, fieldError, form } = useSubmission(async (data) => {
    const email = String(data.get('email')).trim();
    const { expiresInSeconds } = await api.requestSignUpCode(email);
    onSent({ email, minutes: Math.round(expiresInSeconds / 60) });
  });
  return (
    <form ref={form} onSubmit={submit}>
      <TextField
        label={text.email}
        name="email"
        type="email"
        autoComplete="email"
        required
        error={fieldError('email')}
      />
      {error !== undefined && (
        <p className="error" role="alert">
          {error}
        </p>
      )}
      <button type="submit" className="button" disabled={busy}>
        {text.sendCode}
      </button>
    </form>
  );
}

function Complete(props: { readonly sent: Sent; readonly next: string; readonly onOtherEmail: () => void }) {
  const { sent, next, onOtherEmail } = props;
  const { session } = useApi();
  const { text, language } = useLanguage();
  const { submit, busy, error, fieldError, form } = useSubmission(async (data) => {
    await session.signUp({
      email: sent.email,
      code: String(data.get('code')).trim(),
      password: String(data.get('password')),
      nickname: String(data.get('nickname')).trim(),
      locale: language,
    });
    navigate(next, { replace: true });
  });
  return (
    <form ref={form} onSubmit={submit}>
      <p role="status">
        {text.codeSent(sent.email)} {text.codeMinutes(sent.minutes)}
      </p>
      <MailboxLink />
      {/* Tells password managers which account the new password is for. */}
      <input type="hidden" name="username" autoComplete="username" value={sent.email} />
      <TextField
        label={text.code}
        name="code"
        inputMode="numeric"
        autoComplete="one-time-code"
        pattern="\s*[0-9]{6}\s*"
        ref={focusOnAppear}
        required
        error={fieldError('code')}
      />
      <SendAgain email={sent.email} />
      <TextField
        label={text.nickname}
        hint={text.nicknameHint}
        name="nickname"
        autoComplete="nickname"
        required
        error={fieldError('nickname')}
      />
      <TextField
        label={text.password}
        hint={text.newPasswordHint}
        name="password"
        type="password"
        autoComplete="new-password"
        minLength={8}
        maxLength={64}
        required
        error={fieldError('password')}
      />
      {error !== undefined && (
        <p className="error" role="alert">
          {error}
        </p>
      )}
      <button type="submit" className="button" disabled={busy}>
        {text.createAccount}
      </button>
      <button type="button" className="button quiet" onClick={onOtherEmail}>
        {text.otherEmail}
      </button>
    </form>
  );
}

/** For a code that did not come, or was tried too often. */
function SendAgain({ email }: { readonly email: string }) {
  const api = useApi();
  const text = useText();
  const [said, setSaid] = useState('');
  const send = () => {
    setSaid('');
    api.requestSignUpCode(email).then(
      () => setSaid(text.codeSentAgain),
      (error: unknown) => setSaid(describeError(error, text)),
    );
  };
  return (
    <div className="again">
      <button type="button" className="plain" onClick={send}>
        {text.sendCodeAgain}
      </button>
      <span role="status">{said}</span>
    </div>
  );
}

/** In development mode mails do not leave the machine: show where they are. */
function MailboxLink() {
  const api = useApi();
  const text = useText();
  const [isDevelopment, setDevelopment] = useState(false);
  useEffect(() => {
    api.isDevelopment().then(setDevelopment, () => {});
  }, [api]);
  if (!isDevelopment) return null;
  return (
    <p>
      <a href="/dev/mailbox" target="_blank" rel="noreferrer">
        {text.developmentMailbox}
      </a>
    </p>
  );
}
