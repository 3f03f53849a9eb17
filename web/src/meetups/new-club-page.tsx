import { useApi } from '../api/api.tsx';
import { navigate, useTitle } from '../router.tsx';
import { useText } from '../text/text.tsx';
import { TextArea, TextField } from '../ui/field.tsx';
import { useSubmission } from '../ui/form.tsx';
import { CategoryTile, useCategories } from './category.tsx';

export function NewClubPage() {
  const api = useApi();
  const text = useText();
  const categories = useCategories();
  useTitle(text.newClub, text.brand);
  const { submit, busy, error, fieldError, form } = useSubmission(async (data) => {
    const club = await api.createClub({
      kind: 'club',
      title: String(data.get('title')).trim(),
      content: String(data.get('content')).trim(),
      category: String(data.get('category') ?? ''),
      capacity: Number(data.get('capacity')),
    });
    navigate(`/meetups/${club.id}`, { replace: true });
  });
  const categoryError = fieldError('category');
  return (
    <section className="sheet wide">
      <h1 tabIndex={-1}>{text.newClub}</h1>
      <form ref={form} onSubmit={submit}>
        <TextField
          label={text.clubTitle}
          hint={text.clubTitleHint}
          name="title"
          required
          error={fieldError('title')}
        />
        <fieldset className="choices">
          <legend>{text.category}</legend>
          {categories.map(({ key, name }) => (
            <label key={key}>
              <input type="radio" name="category" value={key} required />
              <CategoryTile category={key} />
              <span>{name}</span>
            </label>
          ))}
          {categoryError !== undefined && <p className="error">{categoryError}</p>}
        </fieldset>
        <TextArea label={text.clubContent} name="content" rows={5} required error={fieldError('content')} />
        <TextField
          label={text.capacity}
          name="capacity"
          type="number"
          inputMode="numeric"
          min={2}
          defaultValue={20}
          required
          error={fieldError('capacity')}
        />
        {error !== undefined && (
          <p className="error" role="alert">
            {error}
          </p>
        )}
        <button type="submit" className="button" disabled={busy}>
          {text.createClub}
        </button>
      </form>
    </section>
  );
}
