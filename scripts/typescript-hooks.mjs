// Takes the types out of a TypeScript module, with the compiler that vitest uses. Node.js 20 cannot do it by itself.
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { transform } from 'rolldown/utils'

/** Node.js' `load` hook. The sources stay where they are, so that `import.meta.url` is true. */
export async function load(url, context, next) {
  if (!url.startsWith('file:') || !url.endsWith('.ts')) return await next(url, context)
  const file = fileURLToPath(url)
  const { code, errors } = await transform(file, await readFile(file, 'utf8'), {
    sourcemap: false,
    tsconfig: false,
    typescript: { onlyRemoveTypeImports: true },
  })
  if (errors.length > 0) throw new SyntaxError(errors.map(({ message }) => `${file}: ${message}`).join('\n'))
  return { format: 'module', source: code, shortCircuit: true }
}
