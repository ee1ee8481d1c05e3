// Finds phrases that are not plain technical English, and suggests replacements.
import type { SourceFile } from './check-sources.ts'
import { proseOf } from './prose-of.ts'

/** A phrase, as a regular expression without flags, and its replacement. A space matches any white space. */
type Phrase = readonly [pattern: string, write: string]

const THING =
  'option|property|properties|setting|variable|flag|file|card|message|packet|text|line|log|table|page|name|topic|' +
  'reply|answer|error|status|response|header|body|journal|record|status|code|row|clause|title|field|label|' +
  'comment|test|case|figure|metric|event|warning|reason|summary|README|report'
const PROGRAM = 'broker|connector|server|Mosquitto|Traefik|Kubernetes|kubelet|command|CLI|checker|run|session'

/** Contains phrases, but no single words that may be right elsewhere: a false alarm costs more than a miss. */
const PHRASES: readonly Phrase[] = [
  // Indefinite persons.
  ['nobody(?:.s)?', 'no client, no requester, or the passive voice'],
  ['somebody(?:.s)?', 'a client, another process, or the passive voice'],
  ['anybody(?:.s)?', 'any client, any user'],
  ['everybody(?:.s)?', 'all users, all clients'],
  ['whoever', 'the client that, any user who'],
  // Deliveries and repeats.
  ['com(?:es|e|ing) again', 'redelivered'],
  ['came again', 'was redelivered'],
  ['asked again', 'repeated by the client, resent'],
  ['com(?:es|e|ing) back (?:at once|as|on|and|with)', 'reconnects, restarts, returns'],
  ['(?:stays?|stayed) away', 'reconnects after'],
  ['tak(?:es|e|en|ing) away', 'removes, deletes, clears'],
  ['turn(?:s|ed)? (?:\\w+ )?away', 'rejects'],
  ['sent away', 'rejected'],
  ['taken by the (?:broker|server)', 'accepted, acknowledged'],
  ['taken back', 'withdrawn, removed'],
  ['g[ai]ven? up on', 'abandoned'],
  ['without (?:saying|a) goodbye', 'did not shut down cleanly'],
  ['said goodbye', 'disconnected'],
  // Metaphors from courts.
  ['convict\\w*', 'detected'],
  ['acquit\\w*', 'cleared'],
  ['guilt\\w*', 'the cause, offending'],
  ['innocen\\w*', 'harmless'],
  ['detectives?', 'checker'],
  // Literal translations.
  ['for ever', 'forever'],
  ['all the same', 'still, anyway'],
  ['(?:under|by|in|with|of|for|on|at|not|is|than) the own', 'its own, only under its own name'],
  ['the own \\w+', 'its own, their own'],
  ['may nothing', 'may access nothing'],
  ['nothing what', 'nothing that'],
  ['be it', 'whether'],
  ['as it were', 'leave it out'],
  ['that which', 'what, the value that'],
  ['the young(?! generation)', 'new objects, the young generation'],
  ['among the old', 'in old space'],
  ['ask(?:s|ed)? for its turn', 'waits in the queue'],
  ['askable', 'exposed'],
  ['com(?:es|e) (?:round|to be|to nothing)', 'wraps around, becomes'],
  ['what (?:comes|came) of', 'the result of'],
  ['for the sake of', 'for, because of'],
  ['is to be \\w+(?:ed|en)', 'must be, will be'],
  ['knows? of', 'knows'],
  ['[Ww]hat there is', 'Status, the contents'],
  ['[Ss]ee the file.s first lines?', 'a sentence about this very thing'],
  ['[Tt]he front of the [\\w-]+ room', 'what the room is for'],
  // Personifications.
  ['(?:is|are|was|were|be|been) told(?! apart)', 'is reported, is logged, receives'],
  [
    `(?:${THING}|${PROGRAM}) (?:says|tells|believes|wants|hears)`,
    'contains, specifies, sets, reports, sends',
  ],
  [`(?:${THING}) knows`, 'contains, includes'],
  ['(?:says|tells) (?:so|how|which|whether|why|what|where|when)', 'specifies, reports, shows'],
]

/** The start of a sentence whose subject is a free relative clause. */
const FREE_RELATIVE = '\\bWhat (?:comes?|came|goes|went|stands|stood|belongs|needs)\\b'

/** Returns `path:line: "words found": write "plain words"` for each phrase, in the order of the lines. */
export function findDialect(file: SourceFile): string[] {
  const prose = proseOf(file)
  const hits = MATCHERS.flatMap(([matcher, write]) =>
    Array.from(prose.matchAll(matcher), ({ 0: found, index }) => ({
      line: prose.slice(0, index).split('\n').length,
      text: `"${found.trim().replace(/\s+/g, ' ')}": write "${write}"`,
    })),
  )
  return hits.sort((a, b) => a.line - b.line).map(({ line, text }) => `${file.path}:${line}: ${text}`)
}

const MATCHERS: readonly (readonly [RegExp, string])[] = [
  ...PHRASES.map(([pattern, write]) => matcherOf(`\\b(?:${pattern})\\b`, 'gi', write)),
  matcherOf(FREE_RELATIVE, 'g', 'a concrete subject'),
]

function matcherOf(pattern: string, flags: string, write: string): readonly [RegExp, string] {
  return [new RegExp(pattern.replaceAll(' ', '\\s+'), flags), write]
}
