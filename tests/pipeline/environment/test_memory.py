from restem.pipeline.environment.memory import available_memory


def test_available_memory_is_that_of_the_machine_or_of_the_container(tmp_path):
    assert available_memory(tmp_path) is None
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "meminfo").write_text(
        "MemTotal: 4000000 kB\nMemAvailable:    3000 kB\nSwapFree:   1000 kB\nHugePages_Total:       0\n"
    )
    assert available_memory(tmp_path) == 4000 * 1024
    group = tmp_path / "sys" / "fs" / "cgroup"
    group.mkdir(parents=True)
    (group / "memory.max").write_text("max\n")
    assert available_memory(tmp_path) == 4000 * 1024
    (group / "memory.max").write_text("2000000\n")
    (group / "memory.current").write_text("1500000\n")
    (group / "memory.stat").write_text("anon 7\ninactive_file 250000\n")
    assert available_memory(tmp_path) == 750_000
