/** Line drawings on a 24 × 24 field; decoration only, the words beside them say what they mean. */
const PATHS = {
  exercise: 'M6 8v8M3 10v4M18 8v8M21 10v4M6 12h12',
  sports: 'M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18M3.6 9h16.8M3.6 15h16.8M12 3c3 3 3 15 0 18M12 3c-3 3-3 15 0 18',
  travel: 'M4 8h16v12H4zM9 8V5a1 1 0 0 1 1-1h4a1 1 0 0 1 1 1v3M8 8v12M16 8v12',
  culture: 'M4 5h16v14H4zM8 5v14M16 5v14M4 9.5h4M4 14.5h4M16 9.5h4M16 14.5h4',
  art: 'M12 3a9 9 0 0 0 0 18c2 0 2-1.6 1.4-2.6-.8-1.4.1-2.9 1.8-2.9H18a3 3 0 0 0 3-3c0-5.2-4-9.5-9-9.5M7.5 12.5h.01M9 8h.01M14.5 7.5h.01',
  activity: 'M2 20 9 7l4 7 2.5-4L22 20zM17 5.5h.01',
  dating: 'M12 20S3.5 15 3.5 8.8A4.5 4.5 0 0 1 12 6.7a4.5 4.5 0 0 1 8.5 2.1C20.5 15 12 20 12 20',
  'self-development':
    'M12 6.5C10 5 7 4.5 3.5 5v13c3.5-.5 6.5 0 8.5 1.5 2-1.5 5-2 8.5-1.5V5C17 4.5 14 5 12 6.5M12 6.5v13',
  hobby: 'M10 4.5a2 2 0 1 1 4 0V6h4.5v4.5H20a2 2 0 1 1 0 4h-1.5V20h-13v-5.5H7a2 2 0 1 0 0-4H5.5V6H10z',
  home: 'M4 11 12 4l8 7M6 9.5V20h12V9.5M10 20v-5h4v5',
  chats: 'M4 5h16v11H11l-4.5 4v-4H4z',
  plus: 'M12 5v14M5 12h14',
  back: 'M15 5l-7 7 7 7',
  info: 'M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18M12 11v5.5M12 7.5h.01',
  send: 'M12 19V5M6 11l6-6 6 6',
  down: 'M12 5v14M6 13l6 6 6-6',
  people:
    'M9 11a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7M2.5 20c0-4 3-6 6.5-6s6.5 2 6.5 6M16 4.5a3.5 3.5 0 0 1 0 6.5M18 14.5c2.2.8 3.5 2.7 3.5 5.5',
  clock: 'M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18M12 7v5.5l3.5 2',
  place: 'M12 21s7-6.3 7-11.5a7 7 0 1 0-14 0C5 14.7 12 21 12 21M12 12a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5',
  retry: 'M20 12a8 8 0 1 1-2.5-5.8M20 3.5v4.5h-4.5',
  cross: 'M6 6l12 12M18 6 6 18',
  reply: 'M9 6 4 11l5 5M4 11h9a7 7 0 0 1 7 7',
  edit: 'M4 20h4L19 9l-4-4L4 16zM13 7l4 4',
  bin: 'M4 7h16M9 7V4h6v3M6.5 7l1 13h9l1-13M10.5 11v5M13.5 11v5',
} as const;

export type IconName = keyof typeof PATHS;

export function isIcon(name: string): name is IconName {
  return name in PATHS;
}

export function Icon({ name }: { readonly name: IconName }) {
  return (
    <svg className="icon" viewBox="0 0 24 24" aria-hidden="true">
      <path d={PATHS[name]} />
    </svg>
  );
}
