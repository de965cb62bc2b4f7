/** The project's folder, with a slash at the end. Whatever the program reads at run time is found from here: bundled code has no place of its own. */
export const PROJECT_FOLDER = new URL('../../', import.meta.url);
