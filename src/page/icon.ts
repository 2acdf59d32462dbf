/** The picture in a browser's tab; its colours stand out in both themes. */
export const ICON =
  '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><path fill="#2f6feb" d="M16 2 28 6v9c0 8-5 12.500-12 15C9 27.500 4 23 4 15V6z"/><path fill="none" stroke="#fff" stroke-width="3" stroke-linecap="round" stroke-linejoin="round" d="m10 16 4 4.500 8-9"/></svg>';
