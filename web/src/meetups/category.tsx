import { createContext, type ReactNode, use, useEffect, useState } from 'react';
import { useApi } from '../api/api.tsx';
import type { Category } from '../api/types.ts';
import { useLanguage } from '../text/text.tsx';
import { Icon, isIcon } from '../ui/icon.tsx';

const CategoriesContext = createContext<readonly Category[]>([]);

/** The categories and their names come from the api; until they are there, their keys will do. */
export function CategoriesProvider({ children }: { readonly children: ReactNode }) {
  const api = useApi();
  const [categories, setCategories] = useState<readonly Category[]>([]);
  useEffect(() => {
    api.categories().then(setCategories, () => {});
  }, [api]);
  return <CategoriesContext value={categories}>{children}</CategoriesContext>;
}

export function useCategories(): readonly { readonly key: string; readonly name: string }[] {
  const { language } = useLanguage();
  return use(CategoriesContext).map((category) => ({ key: category.key, name: category[language] }));
}

export function CategoryName({ category }: { readonly category: string }) {
  return useCategories().find(({ key }) => key === category)?.name ?? category;
}

/** A coloured tile with the category's drawing. */
export function CategoryTile({ category }: { readonly category: string }) {
  return (
    <span className="tile" data-category={category} aria-hidden="true">
      <Icon name={isIcon(category) ? category : 'hobby'} />
    </span>
  );
}
