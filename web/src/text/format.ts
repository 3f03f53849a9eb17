import type { Language } from './text.tsx';

/** Making a format is slow and a long chat asks for thousands, so each is made once. */
const formats = new Map<string, Intl.DateTimeFormat>();

function format(language: Language, name: string, options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const key = `${language} ${name}`;
  let made = formats.get(key);
  if (made === undefined) {
    made = new Intl.DateTimeFormat(language === 'ko' ? 'ko-KR' : 'en-GB', options);
    formats.set(key, made);
  }
  return made;
}

/** As beside a message: 오후 3:05, 15:05. */
export function formatTime(at: number, language: Language): string {
  return format(language, 'time', { hour: 'numeric', minute: '2-digit' }).format(at);
}

/** As between two days of a chat. */
export function formatDay(at: number, language: Language): string {
  const options = { year: 'numeric', month: 'long', day: 'numeric', weekday: 'long' } as const;
  return format(language, 'day', options).format(at);
}

/** When a one-day meetup starts. */
export function formatStart(startsAt: string, language: Language): string {
  const options = {
    month: 'short',
    day: 'numeric',
    weekday: 'short',
    hour: 'numeric',
    minute: '2-digit',
  } as const;
  return format(language, 'start', options).format(new Date(startsAt));
}
