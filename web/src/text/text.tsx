import { createContext, type ReactNode, use, useEffect, useMemo, useState } from 'react';
import { type FieldProblem, Problem, Unreachable } from '../api/http.ts';
import { en, type Text } from './en.ts';
import { ko } from './ko.ts';

export type Language = 'ko' | 'en';

const TEXTS: Record<Language, Text> = { ko, en };
const STORED = 'moyiza.language';

interface Value {
  readonly language: Language;
  readonly text: Text;
  readonly choose: (language: Language) => void;
}

const TextContext = createContext<Value | undefined>(undefined);

/** The language chosen earlier, else the browser's first that we have, else Korean, where most people are. */
function initialLanguage(): Language {
  const wishes = [localStorage.getItem(STORED) ?? '', ...navigator.languages];
  for (const wish of wishes) {
    const language = wish.slice(0, 2).toLowerCase();
    if (language === 'ko' || language === 'en') return language;
  }
  return 'ko';
}

export function TextProvider({ children }: { readonly children: ReactNode }) {
  const [language, setLanguage] = useState(initialLanguage);
  useEffect(() => {
    document.documentElement.lang = language;
  }, [language]);
  const value = useMemo(() => {
    const choose = (chosen: Language) => {
      localStorage.setItem(STORED, chosen);
      setLanguage(chosen);
    };
    return { language, text: TEXTS[language], choose };
  }, [language]);
  return <TextContext value={value}>{children}</TextContext>;
}

export function useLanguage(): Value {
  const value = use(TextContext);
  if (value === undefined) throw new Error('useLanguage outside of TextProvider');
  return value;
}

export function useText(): Text {
  return useLanguage().text;
}

/** What to tell a person about a failure: our own words where we have them, else the api's. */
export function describeError(error: unknown, text: Text): string {
  if (error instanceof Unreachable) return text.unreachable;
  if (error instanceof Problem) {
    return text.problems[error.code] ?? (error.status < 500 ? error.message : text.unexpected);
  }
  return text.unexpected;
}

/** What to tell a person about one field. */
export function describeFlaw({ field, code, message }: FieldProblem, text: Text): string {
  return text.flaws[`${field}.${code}`] ?? text.flaws[code] ?? message;
}
