// greeting is plain JavaScript, imported from TypeScript.
export function greeting(language) {
  return `hello from ${language}`;
}
