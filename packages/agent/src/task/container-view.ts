import type { Inspection } from '../engine/container-facts.js';
import type { ContainerFacts } from './step.js';

/** What is known of one task's container: by looking at it, and never by guessing. */
export class ContainerView {
  #facts: ContainerFacts = { kind: 'unknown' };
  /** It has run: if it is not there any more, somebody removed it. */
  #ran: boolean;
  #looks = 0;
  #newest = 0;
  readonly #inspect: () => Promise<Inspection | undefined>;
  /** Something happened to the container since the last look. */
  dirty = false;

  constructor(inspect: () => Promise<Inspection | undefined>, ran: boolean) {
    this.#inspect = inspect;
    this.#ran = ran;
  }

  get facts(): ContainerFacts {
    return this.#facts;
  }

  /** ID of the container, when there is one. */
  get id(): string | undefined {
    return 'id' in this.#facts ? this.#facts.id : undefined;
  }

  /** The engine has listed its containers, and there is none of this task. */
  isMissing(): void {
    this.#newest = ++this.#looks;
    this.#facts = { kind: this.#ran ? 'gone' : 'absent' };
  }

  /**
   * Looks at the container; resolves with what was found unless a later look has already told more. Rejects when the
   * engine does not answer: then what was known stays, and `dirty` with it.
   */
  async look(): Promise<Inspection | undefined> {
    const turn = ++this.#looks;
    this.dirty = false;
    let found: Inspection | undefined;
    try {
      found = await this.#inspect();
    } catch (thrown) {
      this.dirty = true;
      throw thrown;
    }
    if (turn < this.#newest) return undefined;
    if (found === undefined) {
      this.isMissing();
      return undefined;
    }
    this.#newest = turn;
    this.#facts = found.facts;
    if (found.facts.kind !== 'created') this.#ran = true;
    return found;
  }
}
