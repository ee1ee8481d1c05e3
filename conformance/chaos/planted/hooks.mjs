// Loads the changed sources instead of the built files.
let sources = {}

export function initialize(data) {
  sources = data
}

export async function load(url, context, nextLoad) {
  const source = sources[url]
  return source === undefined
    ? await nextLoad(url, context)
    : { format: 'module', source, shortCircuit: true }
}
