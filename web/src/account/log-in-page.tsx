import { useApi } from '../api/api.tsx';
import { Link, navigate, useTitle } from '../router.tsx';
import { useText } from '../text/text.tsx';
import { TextField } from '../ui/field.tsx';
import { useSubmission } from '../ui/form.tsx';

export function LogInPage({ next }: { readonly next: string }) {
  const { session } = useApi();
  const text = useText();
  useTitle(text.logIn, text.brand);
  const { submit, busy, error, fieldError, form } = useSubmission(async (data) => {
    await session.logIn(String(data.get('email')).trim(), String(data.get('password')));
    navigate(next, { replace: true });
  });
  return (
    <section className="sheet">
      <h1 tabIndex={-1}>{text.welcomeBack}</h1>
      <form ref={form} onSubmit={submit}>
        <TextField
          label={text.email}
          name="email"
          type="email"
          autoComplete="username"
          required
          error={fieldError('email')}
        />
        <TextField
          label={text.password}
          name="password"
          type="password"
          autoComplete="current-password"
          required
          error={fieldError('password')}
        />
        {error !== undefined && (
          <p className="error" role="alert">
            {error}
          </p>
        )}
        <button type="submit" className="button" disabled={busy}>
          {text.logIn}
        </button>
      </form>
      <p className="aside">
        {text.noAccount} <Link href={`/sign-up?next=${encodeURIComponent(next)}`}>{text.signUp}</Link>
      </p>
    </section>
  );
}
